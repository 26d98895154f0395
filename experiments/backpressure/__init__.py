"""Do many tenants keep within one account's limits?"""
