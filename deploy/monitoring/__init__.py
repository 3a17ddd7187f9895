"""Writes what Prometheus and Grafana are given, from the metrics and the conditions: `python -m deploy.monitoring`."""
