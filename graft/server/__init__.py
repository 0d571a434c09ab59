"""`graft serve`: an HTTP API and a web page for one model. Needs the extra `serve`.

    app             the routes
    protocol        the routes of the Open Inference Protocol, for the clients of KServe and Triton
    service         answers requests within limits, and keeps the model up to date
    connections     limits for what is no body, for unread answers and open connections
    hosts           the names under which the server answers
    shares          places and bytes, of which one client gets no more than its share
    uploads         the images in a request
    lanes           decodes them in processes, the clients in turn
    batching        predicts the images of concurrent requests together
    served_model    the version that is being served
    metrics         counters and histograms for Prometheus
    page.html       the web page
"""
