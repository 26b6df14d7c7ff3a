"""What a local stack is made of before anything is deployed: who it is, its secrets, its image, its deployment."""
