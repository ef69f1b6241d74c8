"""A paragraph for each method of the table: what it does, and what its source claims.

What was found is written from the numbers. A source that gives no number is quoted for none.
"""

from typing import NamedTuple


class Paragraph(NamedTuple):
    """A ``title`` with the year of its source, and what the method ``does`` and ``claims``."""

    title: str
    does: str
    claims: str


ABOUT = {
    "ema": Paragraph(
        "Moving averages, in four dialects (van den Oord et al., 2017)",
        "The nearest token replaces the embedding, the gradient passes straight through, and a "
        "token is the moving average of its embeddings. The dialects differ in how the averages "
        "start, and in what becomes of a token that is not chosen.",
        "The paper that this package reproduces says that most tokens of a large codebook go "
        "unused without pretraining.",
    ),
    "starts": Paragraph(
        "Starts at random",
        "The first tokens are drawn from N(0, 1), or evenly between ±1/K, as in public notebooks. "
        "The other rows start from k-means.",
        "SoundStream starts from k-means of the first batch. The notebooks claim nothing.",
    ),
    "gradient": Paragraph(
        "A codebook learnt by gradient (van den Oord et al., 2017)",
        "The codebook loss pulls each token to its embeddings, and the optimizer moves it. Adam "
        "moves a token on for a while after its last hit.",
        "In a public benchmark it used 56 % of 512 codes, and moving averages used all of them.",
    ),
    "revive": Paragraph(
        "Revival of dead codes (SoundStream, 2021)",
        "A code that is hardly used is put at an embedding of the batch, or beside the most used "
        "token. The variants differ in when a code counts as dead, and in where it goes.",
        "SoundStream gives the rule. Users of public code report that next to no code stayed dead. "
        "The paper on FSQ reports a usage of 99 % with splitting, and of 0.78 % without.",
    ),
    "cvq": Paragraph(
        "CVQ (Zheng and Vedaldi, 2023)",
        "The less a code is used, the farther it is moved towards an embedding of the batch. There "
        "is no threshold.",
        "All codes are in use.",
    ),
    "few": Paragraph(
        "Few dimensions and directions (ViT-VQGAN, Yu et al., 2021)",
        "Tokens are looked up in few dimensions, behind a linear map, or by direction alone.",
        "In a public benchmark of 16,384 codes, 8 dimensions in the place of 64 raised the usage "
        "from 3 % to 25 %. Cosine codes raised it from 56 % to 98 % of 512. Another paper found "
        "0.3 % in a retrained ViT-VQGAN, so that directions are no guarantee.",
    ),
    "orthogonal": Paragraph(
        "Orthogonal regularization (Shin et al., 2023)",
        "A penalty pushes tokens to right angles.",
        "The paper claims better accuracy between texts and images, and nothing on usage. More "
        "tokens than dimensions cannot be orthogonal, so that no effect is predicted here.",
    ),
    "product": Paragraph(
        "Product quantization (Jégou et al., 2011)",
        "The embedding is cut into slices, and each has a code of its own. The codebook is one for "
        "each slice, or one for all.",
        "Nothing on usage that could be read.",
    ),
    "lookups": Paragraph(
        "Lookups by dot product: DPQ (Chen et al., 2020), memcodes (Mama et al., 2021)",
        "The value of the loudest key replaces a slice, and the gradient passes through a softmax. "
        "Memcodes draw the code at random in training.",
        "Nothing on usage that could be read.",
    ),
    "residual": Paragraph(
        "Residual quantization (SoundStream, 2021; Lee et al., 2022)",
        "Each stage quantizes what the stages before have left over. With dropout an example uses "
        "only some of the stages in training.",
        "It comes near the embeddings without a large codebook.",
    ),
    "qinco": Paragraph(
        "QINCo (Huijben et al., 2024)",
        "A small network adapts the tokens of a stage to the sum so far. It starts as residual "
        "quantization.",
        "It beats residual quantization at equal bits. In a public experiment, codebooks that "
        "depend on what came before lowered the usage.",
    ),
    "fsq": Paragraph(
        "FSQ (Mentzer et al., 2023)",
        "Each of a few coordinates is squashed and rounded. There is no codebook to learn.",
        "Nearly all of 2¹⁴ codes are used. At small sizes a learnt codebook is marginally better.",
    ),
    "signs": Paragraph(
        "Signs: LFQ (Yu et al., 2023) and BSQ (Zhao et al., 2024)",
        "Only the sign of each coordinate is kept, in BSQ after a projection to the sphere. An "
        "entropy loss keeps all codes in use.",
        "LFQ improves generation with large vocabularies. In a public benchmark it used all codes, "
        "its reconstructions were poor, and it collapsed without the entropy loss.",
    ),
    "entropy": Paragraph(
        "Entropy-regularized VQ",
        "A loss makes each assignment sure and the average assignment even.",
        "In a public benchmark all codes were used, and the reconstructions were worse than "
        "without the loss.",
    ),
    "latent": Paragraph(
        "Latent quantization (Hsu et al., 2023)",
        "Each coordinate has a small codebook of its own, whose values are learnt. The authors "
        "also use a strong weight decay, which is not part of the rows here.",
        "Codes are more modular, and the reconstruction is unchanged. There is no claim on usage.",
    ),
    "soft": Paragraph(
        "Soft convex quantization (Gautam et al., 2023)",
        "The decoder is given a convex combination of tokens: the nearest point of their hull, "
        "or a relaxation of it. Such weights are no code. The errors of the table take the token "
        "of greatest weight in its place, and the soft error stands beside them.",
        "Reconstruction and use of the codebook improve by an order of magnitude. Nobody has "
        "published the error of the hardened code.",
    ),
    "hyperbolic": Paragraph(
        "HyperVQ (Goswami et al., 2024)",
        "Codes are chosen by hyperplanes in a Poincaré ball, and the tokens represent them. Codes "
        "start from k-means here, because the published start would put all tokens at one point.",
        "Collapse is mitigated, and the reconstruction is comparable. An independent project that "
        "chose codes so reports that a single code was left.",
    ),
    "choice": Paragraph(
        "dVAE (Ramesh et al., 2021) and EdVAE (Baykal et al., 2024)",
        "The encoder gives a logit for every code, and the decoder a mixture in training. The "
        "temperature falls over the steps of the run. EdVAE limits the logits, adds 1 to their "
        "exponentials, and has another divergence. Two rows have a part of this each.",
        "dVAE needs no revival and no moving averages. EdVAE has the higher perplexity and the "
        "lower error of the two.",
    ),
    "kmeans": Paragraph(
        "Latent k-means, a stand-in for DeepVQ (Le Tan et al., 2018)",
        "The decoder is trained on embeddings and given tokens afterwards. Either training pulls "
        "embeddings to their tokens, or k-means comes after all training.",
        "Nothing of the paper could be read beyond its idea, k-means in a space of few dimensions.",
    ),
    "simvq": Paragraph(
        "SimVQ (Zhu et al., 2024)",
        "One learnt linear map makes all tokens of a frozen cloud, so that none is left behind. "
        "The cloud of k-means is a choice of this package.",
        "All of 65,536 codes are used, and the reconstruction is the best of those compared.",
    ),
    "rotation": Paragraph(
        "The rotation trick (Fifty et al., 2024)",
        "The gradient is turned and stretched as the token is relative to its embedding. All else "
        "is as with moving averages.",
        "The quantization error falls by a factor of ten. In the paper's plain VQ-VAE with 1,024 "
        "codes, the reconstruction is slightly worse.",
    ),
    "wasserstein": Paragraph(
        "Gaussian Wasserstein matching (Fang et al., 2025)",
        "A loss draws the mean and the covariance of the tokens to those of the embeddings.",
        "Nearly all codes are used.",
    ),
}
