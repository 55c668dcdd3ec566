"""Views of results: summary, diff, history, HTML report, tables for data tools."""
