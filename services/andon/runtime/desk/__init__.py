"""The desk engine: durable queues, limits, attempts and the outbox; what is decided is pure."""
