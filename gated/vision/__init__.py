"""Faces in pictures: detector, embedder, quality, model files. Frame in, Observation out."""
