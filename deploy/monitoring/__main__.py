"""Writes the files."""

from deploy.monitoring.files import made

for path, text in made().items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
