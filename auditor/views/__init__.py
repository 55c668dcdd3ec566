"""What people look at: summary, diff, HTML report, tables for data tools."""
