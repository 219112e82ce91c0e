"""The topics: transactions, consumers, producers, administration. The only importer of confluent_kafka."""
