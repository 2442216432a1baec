"""What a log is: schema, columns, decoding, templates and log formats."""
