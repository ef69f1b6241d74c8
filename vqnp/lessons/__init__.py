"""Pictures that only the lessons use, one file a subject."""
