"""`graft serve`: an HTTP API and a web page for one model. Needs the extra `serve`.

    app             the routes
    service         answers requests within limits, and keeps the model up to date
    connections     limits for what comes before a request is one
    uploads         the images in a request
    batching        images of many callers through one model together
    served_model    the version that answers now
    metrics         what Prometheus may ask
    page.html       the web page
"""
