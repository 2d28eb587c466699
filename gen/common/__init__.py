"""What every part of rtlm uses: errors, the cache, runs of tools, hints for installation, progress, style of plots."""
