"""One bit with each request: may it go, or should it stay?"""
