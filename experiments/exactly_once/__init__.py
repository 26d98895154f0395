"""Is an item ever asked for twice?"""
