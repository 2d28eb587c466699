"""An HTTP server that speaks OpenAI's protocol and answers with the accelerator, one request at a time."""
