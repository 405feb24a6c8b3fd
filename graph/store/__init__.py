"""What we know. The only place that speaks SQL."""
