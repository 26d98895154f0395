"""What do calls side by side, shards and nodes gain?"""
