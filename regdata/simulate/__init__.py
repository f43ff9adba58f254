"""Simulated tissue and restaining with known truth: what the demo and the tests run on."""
