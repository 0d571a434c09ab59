"""What happens to a model in use: the figures of its answers, how they differ from test, and images worth a look.

    statistics      tests and intervals with NumPy alone
    figures         the counts that are kept of answers
    windows         the figures of some time, stored in a folder or on S3
    reference       the figures of the test images' answers, which a version carries
    comparison      what has changed, in words, and the accuracy to expect
    page            the same as a page
    collection      images that are kept, with their answers
    collected       reads them again, for a review
    metadata        takes out of an image file what is not part of the picture
    recorder        does all of this beside a server that answers
"""
