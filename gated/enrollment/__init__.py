"""Reference photos and templates: enrollment, import of many, the gallery and its self-test."""
