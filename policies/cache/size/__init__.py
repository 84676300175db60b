"""Policies made for objects of different sizes and costs."""
