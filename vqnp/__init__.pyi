from .data import Dataset as Dataset
from .data import clusters as clusters
from .data import digits as digits
from .data import load_points as load_points
from .diagnostics import Diagnosis as Diagnosis
from .diagnostics import diagnose as diagnose
from .diagnostics import side_by_side as side_by_side
from .models import VQVAE as VQVAE
from .models import Autoencoder as Autoencoder
from .models import MLPSettings as MLPSettings
from .networks import ConvSettings as ConvSettings
from .quantize import Codebook as Codebook
from .quantize import Quantizer as Quantizer
from .quantize import QuantizerSettings as QuantizerSettings
from .quantize import ema_update as ema_update
from .quantize import kmeans as kmeans
from .quantize import nearest as nearest
from .training import TrainSettings as TrainSettings
from .training import train as train
from .training.schedule import ae_then_vq as ae_then_vq

__version__: str
