"""The engines and what every service process has: stage, desk, configuration, metrics, health, supervision."""
