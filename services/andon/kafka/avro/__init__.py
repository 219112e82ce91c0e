"""Avro: reading and writing its binary form, schemas of our record types, and what one schema reads of another."""
