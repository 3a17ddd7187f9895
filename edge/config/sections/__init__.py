"""The shape of the file: names, types, ranges, defaults, and what each key is for.

Checks that need more than one key, a file or the environment are in `building`. Nothing is coerced (strict), and
an unknown key is an error. What `about` says of a key makes the way out of its errors and the JSON Schema.
"""
