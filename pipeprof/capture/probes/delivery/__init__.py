"""What a loop's model consumes: hashes of batches and samples, where the user asks for them."""
