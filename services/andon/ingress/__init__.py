"""The door: takes events over HTTP and answers 202 once Kafka has them."""
