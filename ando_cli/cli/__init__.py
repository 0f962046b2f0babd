"""The Typer kit: options, values, help pages, descriptions, completion."""
