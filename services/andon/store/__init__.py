"""What is open, kept durably: leases, items, the ledger, the outbox. The only importer of SQLAlchemy."""
