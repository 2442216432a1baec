"""What an actor did lately: the feature table, the extraction pass and the memory it keeps."""
