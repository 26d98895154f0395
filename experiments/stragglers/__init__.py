"""What do a quorum and hedges save, and what do they cost?"""
