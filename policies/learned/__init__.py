"""What learned policies are made of: facts about objects, candidates for eviction, and networks that value them."""
