"""Is a video that many people use ever paid for twice?"""
