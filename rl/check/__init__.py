"""The learned policy in a real NGINX, beside what the simulator predicts of it."""
