"""Is a ranking what voters were made to like?"""
