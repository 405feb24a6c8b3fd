"""How to ask a registry. The only place that speaks HTTP to one, and it only reads."""
