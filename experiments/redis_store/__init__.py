"""How fast is the store, and how much does a run weigh in it?"""
