"""The report: README table, charts, HTML page."""
