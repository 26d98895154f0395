"""The six stages, one file each. They are pure and do not know one another: ``engine/plan.py`` connects them."""
