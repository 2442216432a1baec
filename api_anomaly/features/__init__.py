"""What an actor did: the feature table, the extraction and the memory that it reads and writes."""
