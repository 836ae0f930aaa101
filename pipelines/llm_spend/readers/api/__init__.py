"""APIs as a source: what they answer is written to a file as it comes, and read by the reader of log files."""
