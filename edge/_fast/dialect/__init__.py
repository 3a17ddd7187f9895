"""What the dialects' answers and streams say, read in passing: events, ends, usage."""
