"""Tests of rules: events at virtual times through the router and the egress desk, without Kafka, network or secrets."""
