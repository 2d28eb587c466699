"""What every part of the generator uses: errors, the cache, tool runs, progress."""
