"""What does a killed worker cost?"""
