"""How knowledge keeps up: crawl and refresh. The decisions are pure functions."""
