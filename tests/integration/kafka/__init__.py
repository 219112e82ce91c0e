"""The Kafka layer on a real broker."""
