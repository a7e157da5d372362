"""The pages of `ringrift web`: everything they show is a fold, a table or a message of the log."""
