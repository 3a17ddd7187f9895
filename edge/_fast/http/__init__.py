"""HTTP/1.1 on the wire: heads, chunked bodies, forms, and the bounded writer of what goes out."""
